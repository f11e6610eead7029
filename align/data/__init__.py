"""What is trained on: rows of images and questions, the same for every method, and the targets of SFT and DPO."""
