! sum the load of three nodes
program loads
  implicit none
  integer :: i
  real :: total = 0.5
  do i = 1, 3
    total = total + real(i)
  end do
  print *, "total", total
end program loads
