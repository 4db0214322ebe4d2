"""Tests of Negative Space."""
