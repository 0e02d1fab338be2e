-- The audit log and processed outside events.

-- up

-- down
