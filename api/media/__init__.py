"""Reports as PDF, and codes on a camera's pictures: native code, in a child with bounds."""
