"""What strangers write (feeds, mails, HTML, PDF…) is read in a process of its own, which `process.py` starts.

The libraries for these formats are old and generous; some texts of a few hundred KB keep them busy for hours, or have
them eat all memory, and a regular expression of Python stops all threads of its process meanwhile. Here that ends by
bounds on time and memory, and costs nobody anything but the answer. Nothing of ours is imported here.
"""
