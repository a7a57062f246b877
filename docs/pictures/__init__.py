"""Pictures of the prebuilt stacks, drawn from their templates: `make pictures` writes them anew.

They are part of how the site is made and of nothing that ships, so they are beside the pages that show them.
"""
