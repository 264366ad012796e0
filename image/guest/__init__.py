"""The guest base: kernel, initrd, Debian tree and the small init inside it."""
