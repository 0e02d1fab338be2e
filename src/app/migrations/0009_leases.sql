-- Leases of single-owner work, with fencing numbers.

-- up

-- down
