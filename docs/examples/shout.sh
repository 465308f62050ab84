#!/bin/sh
# The body is standard input, the answer standard output. What is written to standard error is the
# function's log. An exit status but 0 is a 500 if nothing has been written.
echo "call $Http_X_Call_Id, attempt ${Http_X_Attempt:-1}" >&2
case $Http_Query in
    *mark=*) mark=${Http_Query#*mark=} ;;
esac
tr a-z A-Z
echo "${mark:-!}"
