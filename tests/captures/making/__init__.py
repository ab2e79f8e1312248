"""Makes the captures of the tests, byte by byte, with nothing but Python's standard library."""
