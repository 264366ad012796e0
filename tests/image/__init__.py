"""Tests of the guest base."""
