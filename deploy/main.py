import runpy

runpy.run_module("gpu_infer", run_name="__main__", alter_sys=True)
