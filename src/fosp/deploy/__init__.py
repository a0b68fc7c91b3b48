"""From a run to a robot: one step of the policy as a graph, and the guard that stops the arm."""
