"""A FastAPI application behind Mangum, the usual way to carry a web framework to Lambda.

It stands for a validated API made of models and routes. Chosen in its favour: the endpoint is `async`, which spares the
thread pool's switch; Mangum's lifespan is off; the documentation's routes, which no client of a model needs, are off.
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from mangum import Mangum  # type: ignore[import-not-found, unused-ignore]
from pydantic import BaseModel

session = onnxruntime.InferenceSession(os.environ["MODEL_PATH"])
app = FastAPI(openapi_url=None)


class Images(BaseModel):
    image: list[list[list[list[float]]]]


class Logits(BaseModel):
    logits: list[list[float]]


@app.post("/predict")
async def predict(images: Images) -> Logits:
    (logits,) = session.run(None, {"image": np.array(images.image, dtype=np.float32)})
    return Logits(logits=logits.tolist())


handler = Mangum(app, lifespan="off")
