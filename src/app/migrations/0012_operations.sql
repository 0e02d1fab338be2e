-- Copies, backups and their verification.

-- up

-- down
