"""What a response earns: small functions of (response, label) with TRL's signature, chosen and weighted in a recipe.

Each reward is a file with one function of that name, which takes the reward's options and returns the reward. All but
``upstream`` score a response by itself: whatever else is in the batch changes nothing.
"""
