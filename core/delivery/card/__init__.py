"""The model card of a bundle: what its manifest says, for people, as Markdown and as one HTML page.

From here: `rendered` for the files, `card_variants` for tables; `models`, `numbers` and `times` measure its figures.
A card says nothing that the manifest does not, and runs no script.
"""
