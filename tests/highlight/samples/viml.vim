" count the lines
set tabstop=4
let g:limit = 100
function! CountLines() abort
  if line('$') > g:limit
    echo "many: " . line('$')
  endif
endfunction
nnoremap <leader>c :call CountLines()<CR>
