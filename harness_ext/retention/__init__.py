"""Did a fine-tuned model keep its general abilities? What is missing is evaluated, by the harnesses' own commands.

``benchmarks``: what is asked; ``models``: who is asked, by contents; ``judging``: the model that judges one benchmark;
``settings``: how both models are asked; ``evaluation``: one benchmark of one model, in a folder that is there only when it is
whole; ``running``: a harness as a process of its own; ``outcome``: what it wrote, checked; ``table``: both models.
"""
