"""Named properties of a capture, ISO/IEC 29794-5, from five landmarks and the pixels."""
