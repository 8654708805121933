# SPDX-License-Identifier: GPL-2.0
# For gnuplot: what each path carried over time, one on top of the other, from the samples of watch.py.
#   gnuplot -e "form='svg'; samples='FILE'; lost=4.0; back=8.0; wifi_alone=7.5; subject='...'" paths.gp >PICTURE
if (form eq 'svg') set terminal svg size 900,400 font 'Helvetica,13' background '#ffffff'
if (form eq 'png') set terminal pngcairo size 1800,800 font 'Sans,20' linewidth 2
set title subject
set xlabel 'seconds'
set ylabel 'Mbit/s'
set xrange [0:*] noextend
set yrange [0:13]
set grid ytics linecolor '#d0d0d0' linetype 1
set border 3 linecolor '#606060'
set tics nomirror
set key top right horizontal
set style fill solid 0.75 noborder
set obj 1 rectangle from lost, graph 0 to back, graph 1 behind fillcolor '#f0f0f0' fillstyle solid 1 noborder
set label 1 'no WiFi' at (lost + back) / 2, graph 0.7 center textcolor '#606060'
plot samples using 1:($2 + $3) with filledcurves x1 title 'WiFi, 8 Mbit/s, 20 ms' linecolor '#4477aa', \
     '' using 1:3 with filledcurves x1 title 'cellular, 2 Mbit/s, 150 ms' linecolor '#ee8866', \
     '' using 1:($2 + $3) with lines title 'together' linecolor '#222222' linewidth 1.5, \
     wifi_alone with lines title 'TCP over WiFi alone' linecolor '#4477aa' dashtype 2
