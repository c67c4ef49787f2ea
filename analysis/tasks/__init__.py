"""From task to task: the ways of trials and what they cost, what is learned and lost, and where that leads."""
