"""Serves ONNX models by the Open Inference Protocol v2 inside an AWS Lambda container.

The modules here that define `handler` are the commands of the functions: `http` answers API events; `job_api`, `queue`,
`dead_letters` and `sweep` are for async inference; `publish` puts models on a mount; `verify` checks a deployment. A
package imports only what stands before it in this order, and `tests/contract/test_layers.py` checks it:

    the other modules here, tensors, storage, models, protocol, cold_start and jobs, the commands

Every import takes time at a cold start. So an `__init__.py` imports nothing of this package, `http` does not import
boto3, and what only some requests need is imported when it is needed.
"""

import os

# When numpy is loaded, OpenBLAS starts a thread for every core beyond the first, and each spins before it sleeps. That
# takes CPU time from the cold start. Models do not run in OpenBLAS, so one thread is enough. A processing file that
# needs more threads for its own linear algebra can set the variable on the function.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
