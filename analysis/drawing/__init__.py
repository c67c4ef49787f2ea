"""The page and its drawings: what is shown as numbers, where labels go, and SVG, style, script and template."""
