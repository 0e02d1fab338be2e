-- Limits of queues, schedules, progress and cancellation of jobs.

-- up

-- down
