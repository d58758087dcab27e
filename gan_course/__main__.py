"""`python -m gan_course` is the command `gan-course`."""

from gan_course.cli import main

main()
