"""Engines run the cases of a batch: worker processes of this host, or the workers of a Dask cluster."""
