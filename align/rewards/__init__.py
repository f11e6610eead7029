"""The rewards: small functions of (response, label) with TRL's signature, which a recipe chooses and weighs.

Each reward is a function of that name, which takes the reward's options and returns the reward. All but ``upstream`` score
each response by itself, whatever else is in the batch.
"""
