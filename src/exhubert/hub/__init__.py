"""What leaves the machine for the Hugging Face Hub: models with their cards, datasets, the page as a Space.

`terms` decides whether it may be public.
"""
