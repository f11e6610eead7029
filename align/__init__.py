"""Training that closes the gap: SFT, DPO and PPO whose reward comes straight from the model's own answer.

Makes adapters to be asked through `harness_ext`, from which it may import; never the other way.
"""
