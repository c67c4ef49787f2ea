"""What a study is: the YAML that a user writes, and where it is read."""
