"""Did a fine-tuned model keep its general abilities? The harnesses' own commands evaluate what is missing."""
