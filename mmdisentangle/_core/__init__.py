"""Ground floor: errors, checks, masks, reduction, numerics. Private; what users need of it is re-exported above."""
