"""Recipes of the images: the base that agents run on, and the appliance itself."""
