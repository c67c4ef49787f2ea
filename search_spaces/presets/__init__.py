"""Study definitions that come with retune; `retune run NAME` takes their names."""
