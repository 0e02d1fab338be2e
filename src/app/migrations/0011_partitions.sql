-- Tables that are partitioned by time on PostgreSQL.

-- up

-- down
