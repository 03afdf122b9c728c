"""Memory of another process: process_vm_readv(2) and process_vm_writev(2)."""
