"""`gpu-infer view`: the page of a run at full resolution, from a server on this machine."""
