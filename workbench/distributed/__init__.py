"""Devices and processes: precision, launchers, accelerate, tensors cut over processes."""
