"""The exercises of the chapter, each answered with runnable code: a measurement, or a proof.

They are numbered as in the chapter: 2.1 is the first of the second section (why convolutions,
convolution, padding and stride, channels, pooling, LeNet), 2.2a the first part of the second. The
English edition (version 1.0, chapter 7) and the Chinese one (2.0, chapter 6) share the sections;
where their lists differ, the number is the English one and the question says so. Section 7 holds
exercises of this project, on topics beyond these editions.
"""

from lenet.chapter.exercises.contents import EXERCISES, Exercise

__all__ = ["EXERCISES", "Exercise"]
