"""How a trace reads what the pointers of a call refer to."""

from __future__ import annotations

import ctypes
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap

import pytest

from pytest_ipc.kernel import trace_values


@pytest.mark.parametrize("way", [trace_values._read_by_call, trace_values._read_by_write, trace_values._read])
def test_memory_is_read_and_an_invalid_address_is_none(way):
    if way is trace_values._read_by_call and not trace_values._call_reads():
        pytest.skip("process_vm_readv(2) is refused here")
    known = ctypes.create_string_buffer(b"known")
    assert way(ctypes.addressof(known), 5) == b"known"
    ctypes.set_errno(77)
    assert way(0x10, 1) is None
    page = mmap(-1, PAGESIZE, MAP_PRIVATE | MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    assert way(address + PAGESIZE - 1, 1) == b"\0"


def test_without_process_vm_readv_a_file_is_written(monkeypatch):
    known = ctypes.create_string_buffer(b"known")
    monkeypatch.setattr(trace_values, "_read_by_call", lambda _address, _size: None)
    trace_values._call_reads.cache_clear()
    try:
        ctypes.set_errno(77)
        assert trace_values._read(ctypes.addressof(known), 5) == b"known"
        assert trace_values._read(0x10, 1) is None
        assert ctypes.get_errno() == 77
    finally:
        trace_values._call_reads.cache_clear()
