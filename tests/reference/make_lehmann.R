# Effects of Lehmann, Elliot and Calin-Jageman 2018 (colour red and attractiveness) from R's metadat, clusters
# numbered; writes lehmann2018.json beside itself.
#
#   Rscript tests/reference/make_lehmann.R [out.json]
suppressMessages({library(metadat); library(jsonlite)})
args <- commandArgs(trailingOnly = TRUE)
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
out <- if (length(args)) args[1] else file.path(here, "lehmann2018.json")
d <- dat.lehmann2018
text <- toJSON(list(metadat = as.character(packageVersion("metadat")), yi = d$yi, vi = d$vi,
                    cluster = as.integer(factor(d$Full_Citation)), within = as.integer(d$Design == "Within Subjects")),
               digits = I(17), auto_unbox = TRUE)
writeLines(text, out)
