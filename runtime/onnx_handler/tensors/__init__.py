"""Tensors: the Open Inference Protocol's datatypes, their codecs, and models' signatures."""
