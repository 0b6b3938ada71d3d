"""The operations of the query layer, in Kendra's shapes, by subject."""
