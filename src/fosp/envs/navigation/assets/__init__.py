"""Pictures for textures, and the script that paints them."""
