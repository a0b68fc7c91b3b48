"""SafeReach: a Panda arm that reaches a target between obstacles, in simulation or, behind the same interface, real."""
