"""Time of every row of bench.kernels as counted instructions and bytes predict it; nothing here is measured."""
