"""What a trial asks of the machine that it runs on: processes, lines of progress, quiet libraries."""
