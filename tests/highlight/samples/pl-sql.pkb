CREATE OR REPLACE PACKAGE BODY fleet AS
  -- counts the busy servers
  FUNCTION busy(p_limit IN NUMBER DEFAULT 90) RETURN NUMBER IS
    v_count NUMBER := 0;
  BEGIN
    SELECT COUNT(*) INTO v_count FROM servers
     WHERE load > p_limit AND state = 'up';
    RETURN v_count;
  END busy;
END fleet;
