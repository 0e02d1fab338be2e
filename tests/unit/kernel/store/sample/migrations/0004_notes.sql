-- A projection grows a column, so its triggers are made anew.

-- up
ALTER TABLE holdings ADD COLUMN note @text;
-- projection: holdings (asset, holder)

-- down
ALTER TABLE holdings DROP COLUMN note;
