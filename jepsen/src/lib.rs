//! Fault harness: disks that lose what was not synced, and launchers of real processes.
