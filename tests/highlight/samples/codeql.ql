/** Finds calls with many arguments. */
import python

from Call c, int n
where
  n = count(c.getAnArg()) and
  n > 8 // limit of the team
select c, "This call has " + n + " arguments."
