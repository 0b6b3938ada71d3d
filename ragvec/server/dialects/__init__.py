"""The services, one face a file: their routes, names, forms of replies and errors, over the one operations layer."""
