; installer of the agent
!define VERSION "1.2"
Name "Agent ${VERSION}"
OutFile "agent.exe"
Section "Main"
  SetOutPath $INSTDIR
  IntCmp $0 10 done
  MessageBox MB_OK 'Installed'
done:
SectionEnd
